"""How answers are delivered, and within what they are compared: the three ways that a declaration can name.

Here: the names that a declaration is written with. A way of delivery owns its rows, its stratum, its comparison of a
challenger with the champion, its check of the sample ratio, and its form of the outbox.
Not here: how answers are generated (generation) and the mathematics of any of it (learning).
"""

from orchestration.delivery.per_unit import PerUnit, original, to_a_person
from orchestration.delivery.protocol import Delivery
from orchestration.delivery.shared_traffic import SharedTraffic
from orchestration.delivery.trial import Trial

__all__ = ["Delivery", "PerUnit", "SharedTraffic", "Trial", "original", "to_a_person"]
