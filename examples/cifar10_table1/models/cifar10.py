"""The CIFAR-10 network with which the paper compares RAM and ROM (section 5, table 1)."""

from torch import Tensor, nn


class Table1Net(nn.Module):
    """Three rounds of padded convolution, ReLU and max-pooling, then one fully connected layer.

    Input ``(N, 3, 32, 32)``, float32, each color's bytes from 0 to 1 less its mean, over its deviation; output
    ``(N, 10)``, one score a class, before softmax. The layers and their order are the paper's; its count of 33,120 is
    the weights alone, and the 90 biases come on top.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, kernel_size=5, padding=2)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(kernel_size=2, stride=2)
        self.conv2 = nn.Conv2d(32, 16, kernel_size=5, padding=2)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(kernel_size=2, stride=2)
        self.conv3 = nn.Conv2d(16, 32, kernel_size=5, padding=2)
        self.relu3 = nn.ReLU()
        self.pool3 = nn.MaxPool2d(kernel_size=2, stride=2)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(512, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``(N, 10)`` of a batch ``(N, 3, 32, 32)``."""
        x = self.pool1(self.relu1(self.conv1(x)))
        x = self.pool2(self.relu2(self.conv2(x)))
        x = self.pool3(self.relu3(self.conv3(x)))
        return self.fc(self.flatten(x))
