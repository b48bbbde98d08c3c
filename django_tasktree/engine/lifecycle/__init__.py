"""The steps that move a run forward: launch, claim, finish, release, settle, advance, stop."""
