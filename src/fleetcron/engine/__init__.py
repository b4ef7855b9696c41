"""What the clock asks: fires become executions, subtasks become commands, events become history."""
