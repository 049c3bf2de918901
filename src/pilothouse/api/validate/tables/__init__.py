"""Tables of rules: their text, the types that they belong to, the compiler that makes functions of them."""
