"""Shap-Mix in a training loop of one's own: any clips, any model. Runs in a minute.

Only the lines marked # <- are about Shap-Mix. The clips are synthetic actions cut to a long tail;
put your own tensors (N, C, T, V, M) in their place.
"""

import torch
from torch import nn

from shapmix import BalancedSoftmaxLoss, ShapMix, mean_clip
from shapmix.data.synthetic import LAYOUT, generate_clips

FRAMES, EPOCHS, CLASSES = 32, 25, 20


def load():
    """Training clips, 36 of the first class down to 3 of the last; test clips of others."""
    train, test, counts = [], [], [0] * CLASSES
    for clip in generate_clips(clips_per_class=48):
        frames = torch.linspace(0, len(clip.keypoints) - 1, FRAMES).long()
        person = torch.from_numpy(clip.keypoints)[frames, :1]  # (T, M, V, C)
        x = (person - person[:1, :, :1]).permute(3, 0, 2, 1)  # (C, T, V, M), from the spine
        if clip.metadata["subject"] > 15:
            test.append((x, clip.label))
        elif counts[clip.label] < int(36 * 12 ** (-clip.label / (CLASSES - 1))):
            train.append((x, clip.label))
            counts[clip.label] += 1
    parts = [zip(*part, strict=True) for part in (train, test)]
    return [(torch.stack(x), torch.tensor(y)) for x, y in parts], counts


class SmallNet(nn.Module):
    """Convolutions over time on the coordinates of all joints."""

    def __init__(self, features):
        super().__init__()
        layers = [nn.BatchNorm1d(features)]
        for before, after in ((features, 96), (96, 96), (96, 192)):
            layers += [nn.Conv1d(before, after, 5, 2, 2), nn.BatchNorm1d(after), nn.ReLU()]
        self.body, self.head = nn.Sequential(*layers), nn.Linear(192, CLASSES)

    def forward(self, x):
        return self.head(self.body(x.permute(0, 1, 3, 4, 2).flatten(1, 3)).mean(2))


torch.manual_seed(0)
[(x_train, y_train), (x_test, y_test)], counts = load()
model = SmallNet(3 * LAYOUT.num_joints)
optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
mixer = ShapMix(LAYOUT, counts, mean_clip([x_train]), saliency_budget=0.1)  # <-
criterion = BalancedSoftmaxLoss(counts)  # <-

for _ in range(EPOCHS):
    for index in torch.randperm(len(x_train)).split(32):
        x, y = x_train[index], y_train[index]
        mixed = mixer(x, y)  # <-
        logits, logits_mixed = model(torch.cat([x, mixed.x])).chunk(2)  # <-
        loss = criterion(logits, y) + criterion(logits_mixed, mixed.target)  # <-
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    mixer.refresh(model)  # <-

right = (model.eval()(x_test).argmax(1) == y_test).float()
print(f"test clips right: {right.mean():.0%}, of the rarest seven: {right[y_test > 12].mean():.0%}")
