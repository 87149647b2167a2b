-- Which artifacts are out of date, and why?
SELECT * FROM v_stale_artifacts;
