"""Who sits on the panel."""

from collections.abc import Callable, Iterable

from heliograph.common.errors import InputError
from heliograph.reasoning.panel.agents import (
    fundamentals,
    portfolio_manager,
    risk,
    sentiment,
    technicals,
    valuation,
)
from heliograph.reasoning.panel.company import Company
from heliograph.reasoning.panel.opinion import View
from heliograph.reasoning.panel.personas.ackman import Ackman
from heliograph.reasoning.panel.personas.buffett import Buffett
from heliograph.reasoning.panel.personas.burry import Burry
from heliograph.reasoning.panel.personas.damodaran import Damodaran
from heliograph.reasoning.panel.personas.druckenmiller import Druckenmiller
from heliograph.reasoning.panel.personas.fisher import Fisher
from heliograph.reasoning.panel.personas.graham import Graham
from heliograph.reasoning.panel.personas.jhunjhunwala import Jhunjhunwala
from heliograph.reasoning.panel.personas.lynch import Lynch
from heliograph.reasoning.panel.personas.munger import Munger
from heliograph.reasoning.panel.personas.scoring import Persona
from heliograph.reasoning.panel.personas.wood import Wood

PERSONAS: dict[str, Persona] = {
    persona.name: persona
    for persona in (
        Buffett(),
        Graham(),
        Ackman(),
        Wood(),
        Munger(),
        Burry(),
        Lynch(),
        Fisher(),
        Druckenmiller(),
        Jhunjhunwala(),
        Damodaran(),
    )
}
RULES: dict[str, Callable[[Company], View]] = {
    fundamentals.NAME: fundamentals.analyse,
    technicals.NAME: technicals.analyse,
    sentiment.NAME: sentiment.analyse,
    valuation.NAME: valuation.analyse,
}
ANALYSTS: dict[str, Callable[[Company], View]] = {
    **RULES,
    **{name: persona.analyse for name, persona in PERSONAS.items()},
}
"""All fifteen; the risk manager and the portfolio manager always sit."""
MANAGERS = (risk.NAME, portfolio_manager.NAME)


def chosen(names: Iterable[str]) -> tuple[str, ...]:
    """The analysts of these names, in the panel's order and each once; all of them without any.

    Raises:
        InputError: a name is none of an analyst.
    """
    wanted = set(names)
    unknown = sorted(wanted - ANALYSTS.keys())
    if unknown:
        raise InputError(f"agents: {', '.join(unknown)}, expected some of {', '.join(ANALYSTS)}")
    return tuple(name for name in ANALYSTS if not wanted or name in wanted)
