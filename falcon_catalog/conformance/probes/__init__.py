"""What is asked of each operation and rule: one function each, its docstring the rule."""
