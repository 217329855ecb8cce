"""LeNet-5 as the paper builds it (section 3): 61,706 parameters, 32x32 gray in, ten scores out."""

from torch import Tensor, nn


class LeNet5(nn.Module):
    """Two rounds of convolution, ReLU and max-pooling, then three fully connected layers.

    Input ``(N, 1, 32, 32)``, float32 from 0 (background) to 1 (full stroke); output ``(N, 10)``, one score a digit,
    before softmax. Every step has a name of its own, which the generated C and the reports use.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, kernel_size=5)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(kernel_size=2, stride=2)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(kernel_size=2, stride=2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(400, 120)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(120, 84)
        self.relu4 = nn.ReLU()
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``(N, 10)`` of a batch ``(N, 1, 32, 32)``."""
        x = self.pool1(self.relu1(self.conv1(x)))
        x = self.pool2(self.relu2(self.conv2(x)))
        x = self.flatten(x)
        x = self.relu3(self.fc1(x))
        x = self.relu4(self.fc2(x))
        return self.fc3(x)
