"""Two small networks in a game, on which every property of the trainer can be checked exactly and fast."""

import torch
from torch import nn

from tools.engines.trainer import AlternatingTrainer
from tools.engines.update import Update
from tools.torch_files import write_torch_file


class Game:
    """An objective in miniature: a critic that separates, and a generator that fools it."""

    def __init__(self, latent_dim=3, dim=4):
        self.generator = nn.Sequential(nn.Linear(latent_dim, 8), nn.Tanh(), nn.Linear(8, dim))
        self.critic = nn.Sequential(nn.Linear(dim, 8), nn.Tanh(), nn.Linear(8, 1))
        self.latent_dim = latent_dim

    def draw(self, batch, draws):
        rows = len(batch["image"])
        return {
            "image": batch["image"],
            "critic_latent": draws.normal(rows, self.latent_dim),
            "generator_latent": draws.normal(rows, self.latent_dim),
            "start": draws.integer(0, 9),
        }

    def critic_loss(self, batch):
        real = self.critic(batch["image"])
        fake = self.critic(self.generator(batch["critic_latent"]))
        return {"real": nn.functional.softplus(-real).mean(), "fake": nn.functional.softplus(fake).mean()}

    def generator_loss(self, batch):
        return {"fool": nn.functional.softplus(-self.critic(self.generator(batch["generator_latent"]))).mean()}


def make_game(seed=0):
    torch.manual_seed(seed)
    return Game()


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.01)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def make_updates(game, optimizer=adam, schedule=None, **options):
    """``schedule`` of both; other options are the critic's."""
    options["schedule"] = schedule
    return [
        Update("critic", {"critic": game.critic}, optimizer(game.critic.parameters()), game.critic_loss, **options),
        Update(
            "generator",
            {"generator": game.generator},
            optimizer(game.generator.parameters()),
            game.generator_loss,
            schedule=schedule,
        ),
    ]


def make_data(batches=3, batch_size=4, dim=4):
    generator = torch.Generator().manual_seed(7)
    return [{"image": torch.randn(batch_size, dim, generator=generator)} for _ in range(batches)]


def make_trainer(game, updates=None, data=None, max_epochs=1, **options):
    return AlternatingTrainer(
        device="cpu",
        max_epochs=max_epochs,
        train_data_loader=data or make_data(),
        updates=updates or make_updates(game),
        draw=game.draw,
        **options,
    )


def weights(*networks):
    return torch.cat([p.detach().flatten() for network in networks for p in network.parameters()])


def make_old(path):
    """Turn a checkpoint into one of version 1, before checkpoints said by which they were written."""
    state = torch.load(path, weights_only=True)
    kept = ("epoch", "iteration", "epoch_length", "networks", "optimizers", "scalers", "also", "random", "versions")
    old = {
        "ema": state["averages"][0] if state["averages"] else None,
        "best": state["validation"]["best"],
        "validated": state["validation"]["validated"],
        "pass": state["pass"].get("began"),
    }
    write_torch_file(path, {key: state[key] for key in (*kept, "settings")} | old)
