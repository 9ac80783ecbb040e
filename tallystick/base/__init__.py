"""The ground every room stands on: no business nouns, only what each of them needs to do its work."""
