"""The tests, in folders by what they are about; ``env`` is what they share."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
"""The checkout."""
