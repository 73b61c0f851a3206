"""What all schemas share: base classes, field types, pages, cursors and merge patch."""
