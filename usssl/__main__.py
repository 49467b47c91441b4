"""`python -m usssl`, as `torchrun -m usssl` calls it on every rank."""

from usssl.cli import main

main()
