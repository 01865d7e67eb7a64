"""Shap-Mix in a training loop of one's own: any clips, any model. Runs in about a minute.

Only the lines marked with # <- are about Shap-Mix. The clips here are the embedded synthetic
actions, cut to a long tail; put your own tensors (N, C, T, V, M) in their place.
"""

import torch
from torch import nn

from shapmix import BalancedSoftmaxLoss, ShapMix, mean_clip
from shapmix.data.synthetic import LAYOUT, generate_clips

FRAMES, EPOCHS, BATCH = 32, 30, 32


def load() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Training clips with a long tail, and test clips of other subjects."""
    train, test = [], []
    for clip in generate_clips(clips_per_class=40):
        keypoints = torch.from_numpy(clip.keypoints[:, 0])  # (T, V, C), the first person
        keypoints = keypoints - keypoints[:1, :1]
        frames = torch.linspace(0, len(keypoints) - 1, FRAMES).long()
        x = keypoints[frames].permute(2, 0, 1)[..., None]  # (C, T, V, M)
        (train if clip.metadata["subject"] <= 15 else test).append((x, clip.label))
    counts = [max(2, int(30 * 15 ** (-k / 19))) for k in range(20)]
    train = [pair for k in range(20) for pair in [p for p in train if p[1] == k][: counts[k]]]
    (x, y), (x_test, y_test) = zip(*train, strict=True), zip(*test, strict=True)
    return torch.stack(x), torch.tensor(y), torch.stack(x_test), torch.tensor(y_test)


class SmallNet(nn.Module):
    """Three convolutions over time on the coordinates of all joints."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.BatchNorm1d(features)]
        for before, after in ((features, 64), (64, 128), (128, 128)):
            layers += [nn.Conv1d(before, after, 5, 2, 2), nn.BatchNorm1d(after), nn.ReLU()]
        self.body, self.head = nn.Sequential(*layers), nn.Linear(128, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x.transpose(1, 2).flatten(2).transpose(1, 2)).mean(2))


def main() -> None:
    torch.manual_seed(0)
    x_train, y_train, x_test, y_test = load()
    counts = torch.bincount(y_train)
    model = SmallNet(3 * LAYOUT.num_joints, len(counts))
    mixer = ShapMix(LAYOUT, counts, background=mean_clip([x_train]), saliency_budget=0.1)  # <-
    criterion = BalancedSoftmaxLoss(counts)  # <-
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    for epoch in range(EPOCHS):
        for index in torch.randperm(len(x_train)).split(BATCH):
            x, y = x_train[index], y_train[index]
            mixed = mixer(x, y)  # <-
            logits, logits_mixed = model(torch.cat([x, mixed.x])).chunk(2)  # <-
            loss = criterion(logits, y) + criterion(logits_mixed, mixed.target)  # <-
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        mixer.refresh(model)  # <-
    model.eval()
    right = (model(x_test).argmax(1) == y_test).float()
    tail = y_test >= 13
    print(f"epoch {epoch + 1}: all {right.mean():.1%}, rarest seven {right[tail].mean():.1%}")
    print(mixer.saliency.scores()[-1].topk(3))


if __name__ == "__main__":
    main()
