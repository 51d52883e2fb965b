"""Settings of homes that tests make."""

from pathlib import Path

from dagster_defs.settings import Settings


def smoke_settings(home: Path) -> Settings:
    """Of the profile `smoke`, everything below `home`."""
    return Settings(home=home, profile="smoke", seed=0, tracking_uri=f"sqlite:///{home / 'mlflow.db'}")
