"""Which workflows the demo runs, on which input, and what must come out of them."""

from pathlib import Path
from typing import Any

import msgspec

from infra.demo.site import REFUSALS

_WORKFLOWS = Path(__file__).parent / "workflows"


class Case(msgspec.Struct, frozen=True):
    """One run. `attempts` is how many times the step `attempted` must have been tried."""

    file: Path
    input_data: dict[str, Any]
    expected: Any
    attempted: str
    attempts: int = 1


def cases(site: str) -> tuple[Case, ...]:
    """Return the demo's runs against the site at this URL."""
    return (
        Case(
            _WORKFLOWS / "order-total.yaml",
            {"price": 12.25, "quantity": 6, "postage": 4.9},
            {"goods": 73.5, "total": 78.4, "branch": "if_false"},
            "paid",
        ),
        Case(
            _WORKFLOWS / "product-page.yaml",
            {"site": site},
            {
                "title": "ENAMEL KETTLE, 1.7 L",
                "price_eur": 39.5,
                "in_stock": 14,
                "fastest": "City Bikes",
                "note": "3 products, counted on 2026-01-05",
            },
            "page",
        ),
        Case(
            _WORKFLOWS / "unsteady-supplier.yaml",
            {"site": site},
            {"accepted": True, "requests_seen": REFUSALS + 1},
            "order",
            REFUSALS + 1,
        ),
    )
