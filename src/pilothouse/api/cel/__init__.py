"""The Common Expression Language as Kubernetes has it:
parser, checker, cost estimate, libraries; evaluated by `_cel`."""
