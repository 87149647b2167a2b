"""A page of what differs between two states of the verdicts."""

from steer_assets.reporting.changes import Changes, sentences, told
from steer_assets.reporting.pages.page import environment, policy


def render_changes(changes: Changes, *, home: str = "") -> str:
    """The page as text; the same changes give the same bytes. home: a page that leads to it."""
    return (
        environment()
        .get_template("changes.html.j2")
        .render(
            policy=policy(),
            home=home,
            title=f"{changes.before} → {changes.after}",
            summary=sentences(changes)[0],
            rows=list(changes.rows.iter_rows(named=True)),
            pairs=[(pair, told(pair)) for pair in changes.pairs],
        )
    )


def render_none(reason: str, *, home: str = "") -> str:
    """The page of a comparison that was not possible."""
    return (
        environment()
        .get_template("changes.html.j2")
        .render(policy=policy(), home=home, title="", summary=reason, rows=[], pairs=[])
    )
