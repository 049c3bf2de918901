"""The addresses of pods."""

from pilothouse.simulate.kubelet.addresses import PodAddresses

CIDR = "10.0.0.0/29"


def test_each_pod_has_its_own_and_the_last_one_is_for_broadcasts() -> None:
    addresses = PodAddresses()
    taken = [addresses.take(f"p{number}", CIDR) for number in range(6)]
    assert taken == ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", ""]
    assert addresses.take("p1", CIDR) == "10.0.0.3"


def test_those_that_are_free_again_come_last() -> None:
    addresses = PodAddresses()
    for number in range(3):
        addresses.take(f"p{number}", CIDR)
    addresses.give_back("p2")
    addresses.give_back("p0")
    assert [addresses.take(f"q{number}", CIDR) for number in range(4)] == [
        "10.0.0.5",
        "10.0.0.6",
        "10.0.0.4",
        "10.0.0.2",
    ]


def test_a_pod_keeps_the_one_that_it_has_unless_it_is_taken() -> None:
    addresses = PodAddresses()
    assert addresses.take("a", CIDR, "10.0.0.3") == "10.0.0.3"
    assert [addresses.take(name, CIDR) for name in "bc"] == ["10.0.0.2", "10.0.0.4"]
    assert addresses.take("d", CIDR, "10.0.0.3") == "10.0.0.5"
    assert addresses.take("e", CIDR, "192.0.2.1") == "10.0.0.6"
