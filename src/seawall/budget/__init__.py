"""The memory contract: where the limit comes from, what each stage claims, who holds it to that, and what it used."""
