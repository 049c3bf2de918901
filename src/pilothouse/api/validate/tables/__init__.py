"""Tables of rules: their text, the types that they belong to, and the compiler that makes functions of them (docs/rules.md)."""
