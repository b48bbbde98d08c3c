"""Definitions that are launched in the admin."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Literal
from uuid import UUID

from django.contrib.auth.models import User

from django_tasktree import TaskTree
from django_tasktree.models import TreeRun
from tests.sample.tasks import echo


class Colour(Enum):
    RED = "r"
    GREEN = "g"


def everything(
    text: str,
    number: int,
    ratio: float,
    price: Decimal,
    sure: bool,
    day: date,
    start: datetime,
    ident: UUID,
    where: Path,
    colour: Colour,
    level: Literal["low", "high"],
    numbers: list[int],
    user: User,
    note: str | None = None,
    users: list[User] | None = None,
) -> TaskTree:
    """Take <b>every</b> kind of parameter."""
    tree = TaskTree()
    tree.add_task(echo, [f"{text} {user.username} {colour.name}"])
    return tree


def picky(year: int = 2026, key: str = "") -> TaskTree:
    """Refuse years."""
    TreeRun.objects.create(name="written by the definition")
    if year < 2000:
        raise RuntimeError("no <i>computers</i>")
    TreeRun.objects.filter(name="written by the definition").delete()
    tree = TaskTree()
    tree.add_task(echo, [year])
    return tree
