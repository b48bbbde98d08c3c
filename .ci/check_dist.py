"""Check that dist/ has all of the package and nothing else, and that a tag given as argument names its version."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "django_tasktree/"
#: Files that an sdist has beside the package.
BESIDE = {"CHANGELOG.rst", "LICENSE", "PKG-INFO", "README.rst", "pyproject.toml", "setup.cfg"}


def main(tag: str | None = None) -> None:
    """Exit with a message if something is missing, or should not be there."""
    (wheel,), (sdist,) = (list((ROOT / "dist").glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
    version = wheel.name.split("-")[1]
    if tag is not None and tag != f"v{version}":
        sys.exit(f"the tag is {tag}, but __version__ is {version}: set __version__ and tag the commit with v{version}")
    metadata = f"django_tasktree-{version}.dist-info/"
    with zipfile.ZipFile(wheel) as archive:
        compare(wheel, {name for name in archive.namelist() if not name.startswith(metadata)}, tracked())
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    compare(sdist, {name for name in names if ".egg-info/" not in name}, tracked() | BESIDE)


def tracked() -> set[str]:
    """Return the package's files in the repository."""
    command = ["git", "ls-files", "-z", PACKAGE]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {name for name in listed.split("\0") if name}


def compare(archive: Path, found: set[str], wanted: set[str]) -> None:
    """Exit with a message if an archive has other files than it should have."""
    for name in sorted(found ^ wanted):
        print(f"{archive.name}: {name} {'is missing' if name in wanted else 'should not be there'}", file=sys.stderr)
    if found != wanted:
        sys.exit(1)
    print(f"{archive.name}: {len(found)} files")


if __name__ == "__main__":
    main(*sys.argv[1:])
