from trainingjob_operator.cluster.memory import Memory


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_value_is_forgotten_so_long_after_it_was_last_kept() -> None:
    clock = Clock()
    memory: Memory[str, int] = Memory(30.0, clock)
    memory.keep("a", 1)
    clock.now = 20.0
    memory.keep("b", 2)
    memory.keep("a", 3)
    assert (memory.get("a"), memory.get("b"), "c" in memory) == (3, 2, False)

    clock.now = 45.0
    memory.keep("b", 4)
    assert (memory.get("a"), memory.get("b")) == (3, 4)

    clock.now = 50.0
    assert (memory.get("a"), memory.get("b")) == (None, 4)


def test_what_is_dropped_is_forgotten_at_once() -> None:
    memory: Memory[str, int] = Memory(30.0, Clock())
    memory.keep("a", 1)
    memory.drop("a")
    memory.drop("b")
    assert "a" not in memory
