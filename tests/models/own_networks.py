"""Modules as users write them: good ones, and one for each way to break what is asked of them."""

import torch
from torch import Tensor, nn


class Mlp(nn.Module):
    """The last step's features through two layers."""

    def __init__(self, num_features: int, num_outputs: int = 1, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(num_features, width), nn.Tanh(), nn.Linear(width, num_outputs))

    def forward(self, x: Tensor) -> Tensor:
        predicted: Tensor = self.layers(x[:, -1])
        return predicted


class Flat(Mlp):
    """One value a sample, [B] and not [B, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, 0]


class WithStatic(nn.Module):
    """Takes all there is, each by its name."""

    def __init__(self, num_features: int, num_static: int, num_entities: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(num_features, 8, batch_first=True)
        self.embedding = nn.Embedding(num_entities + 1, 2)
        self.head = nn.Linear(8 + num_static + 2, 1)

    def forward(self, x: Tensor, entity: Tensor, static: Tensor) -> Tensor:
        states, _ = self.lstm(x)
        predicted: Tensor = self.head(torch.cat([states[:, -1], static, self.embedding(entity)], dim=1))
        return predicted


class Steps(nn.Module):
    """Every step by itself."""

    def __init__(self, num_features: int, num_outputs: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(num_features, 8, batch_first=True)
        self.head = nn.Linear(8, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        predicted: Tensor = self.head(self.lstm(x)[0])
        return predicted


class Conv(nn.Module):
    """Convolutions over steps: activations that are not those of an MLP."""

    def __init__(self, num_features: int, num_outputs: int = 1) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(num_features, 32, 3), nn.Conv1d(32, 32, 3)
        self.head = nn.Linear(32, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        mixed = torch.relu(self.second(torch.relu(self.first(x.transpose(1, 2)))))
        predicted: Tensor = self.head(mixed.mean(dim=2))
        return predicted


class Future(Steps):
    """An earlier step sees later ones."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flip(1)).flip(1)


class Neighbours(Mlp):
    """A prediction depends on the batch it is in."""

    def forward(self, x: Tensor) -> Tensor:
        predicted = super().forward(x)
        return predicted - predicted.mean(dim=0)


class Noisy(Mlp):
    """Draws random numbers where it should not."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + torch.randn_like(x))


class Detached(Mlp):
    """No gradient reaches its weights."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).detach()


class Unused(Mlp):
    """A layer that takes no part."""

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features)
        self.spare = nn.Linear(3, 3)


class Wide(Mlp):
    """Two values where one is asked for."""

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features, 2)


class Infinite(Mlp):
    """Divides by nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / 0.0


class Crash(Mlp):
    """Multiplies what does not fit."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2))


class Pair(Mlp):
    """Gives two things."""

    def forward(self, x: Tensor) -> Tensor:
        predicted = super().forward(x)
        return predicted, predicted  # type: ignore[return-value] # the mistake that is tested


class Weightless(nn.Module):
    """Nothing to learn."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, -1, :1]


class InPlace(Mlp):
    """Overwrites what the backward pass needs."""

    def forward(self, x: Tensor) -> Tensor:
        predicted = super().forward(x).exp()
        return predicted.add_(1.0)


class NotAModule:
    """Only named like one."""
