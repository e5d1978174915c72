"""Warm starts: what a training takes over from an ancestor, a generator of everybody that was trained before.

    networks.NAME.KEY               the networks that a method keeps, as the ancestor's training left them
    discriminators.PHASE.NAME.KEY   those of each phase, as they were at its end

A person's training begins with all of them: the generators before its first phase, the discriminators as their phase
begins; a discriminator that knows what generated frames look like does not have to learn it on the person's few steps.
Optimizers and the schedule of the learning rate begin anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch
from safetensors.torch import load_file
from torch import nn

from dancebench.core.errors import BenchError
from dancebench.core.files import sha256_once
from dancebench.core.schema import Strict
from dancebench.datasets.subjects.records import Role, SubjectRecord, list_origins

Weights = Mapping[str, torch.Tensor]
Side = Literal["train", "holdout"]
"""Of the split: whose synthesizers an ancestor is for. Training and validation people are on one side, as they are
where drivers are shared."""
WEIGHTS: Final = "weights.safetensors"
NETWORKS: Final = "networks"
DISCRIMINATORS: Final = "discriminators"


class AncestorPerson(Strict):
    """Someone whom an ancestor was trained on."""

    subject: str
    """Id in the ancestor's dataset."""
    content_sha256: str
    """Of the prepared clip with its poses."""
    origins: tuple[str, ...]
    """What the clip was made from: hashes of recordings, or the drawn dancer's seed."""


class AncestorReference(Strict):
    """The ancestor that a synthesizer started from, as records name it."""

    weights_sha256: str
    side: Side
    """Of the split: whose synthesizers it is for."""
    dataset_id: str
    """Of the dataset of its people."""
    people: tuple[str, ...]
    """Whom it was trained on, by their ids there."""


@dataclass(frozen=True)
class Ancestor:
    """A trained ancestor.

    Attributes:
        folder: Where it lies.
        label: What it is, for messages.
        people: Whom it was trained on.
        base: The ancestor of the method that its method builds on.
    """

    folder: Path
    label: str
    reference: AncestorReference
    people: tuple[AncestorPerson, ...]
    base: Ancestor | None = None

    def has_seen(self, subject: SubjectRecord) -> bool:
        """Whether it was trained on this person: the same clip, or another one made from the same recording."""
        origins = list_origins(subject.source)
        return any(
            person.content_sha256 == subject.content_sha256 or not origins.isdisjoint(person.origins)
            for person in self.people
        )

    def require_unseen(self, subject: SubjectRecord) -> None:
        """Refuse a person whose fakes are measured, unless the ancestor never saw them.

        Raises:
            BenchError: It was trained on this person, who is no training person.
        """
        if subject.role != "train" and self.has_seen(subject):
            raise BenchError(
                f"{self.label} was trained on '{subject.id}', whose role is {subject.role}: what starts from it cannot "
                f"be tested on '{subject.id}'.",
                hint="--warm-start auto trains one on training people alone.",
            )

    def require_unchanged(self) -> None:
        """Refuse weights that are not those of its record.

        Raises:
            BenchError: The file is missing or was changed.
        """
        path = self.folder / WEIGHTS
        if not path.is_file() or sha256_once(path) != self.reference.weights_sha256:
            raise BenchError(
                f"{path} is missing or was changed after training.",
                hint="Remove its folder; --warm-start auto trains it again.",
            )

    def load_weights(self, device: str) -> Weights:
        """What `collect_weights` gave of its networks.

        Raises:
            BenchError: As `require_unchanged`.
        """
        self.require_unchanged()
        weights: Weights = load_file(self.folder / WEIGHTS, device=device)
        return weights


def find_side(role: Role) -> Side:
    """The side whose ancestor a person's synthesizer starts from; a target is as unseen as held-out people."""
    return "train" if role in ("train", "validation") else "holdout"


def collect_weights(part: str, networks: Mapping[str, nn.Module]) -> dict[str, torch.Tensor]:
    """Copies of the weights of networks, under `PART.NAME.KEY`: networks may share layers, and a file may not."""
    return {
        f"{part}.{name}.{key}": value.clone()
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }


def take_part(part: str, weights: Weights) -> dict[str, torch.Tensor]:
    """The weights under `PART.`, without it."""
    return {key.removeprefix(f"{part}."): value for key, value in weights.items() if key.startswith(f"{part}.")}


def inherit(part: str, networks: Mapping[str, nn.Module], weights: Weights, label: str) -> None:
    """Load what `collect_weights` gave of networks of the same shapes.

    Raises:
        BenchError: They have other layers.
    """
    for name, network in networks.items():
        try:
            network.load_state_dict(take_part(f"{part}.{name}", weights))
        except RuntimeError as error:
            raise BenchError(
                f"{label}: its {name} has other layers than the ancestor's.",
                hint="Use the preset and settings of the networks that the ancestor was trained with.",
            ) from error
