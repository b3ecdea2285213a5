"""The tests: a file a module, and folders for the snippets and for their peers."""
