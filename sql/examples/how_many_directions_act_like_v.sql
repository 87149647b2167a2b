-- Random vectors in the span of k orthogonal directions: up to which k do they act like v, and from which on do they not?
SELECT model, trait, protocol, scorer, layer, alpha, sizes, verdicts, holds_to, broken_from
FROM spanning
ORDER BY model, trait, protocol, scorer, layer, alpha;
