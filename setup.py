"""The packages of detkit, and the config files, which a wheel has as ``detkit/configs``."""

from setuptools import find_packages, setup

CONFIGS = "detkit.configs"

setup(
    packages=[*find_packages(include=["detkit*"]), CONFIGS],
    package_dir={CONFIGS: "configs"},
    package_data={"detkit": ["py.typed"], CONFIGS: ["*/*.py", "_base_/*/*.py"]},
)
