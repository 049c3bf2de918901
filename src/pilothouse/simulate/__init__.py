"""A cluster that runs nothing and looks alive: nodes, a scheduler, a kubelet and controllers, in process."""
