"""A quorum queue of RabbitMQ with the exchange that native delays need."""

from kombu import Exchange, Queue


def quorum_queue(name):
    """Return the declaration of a quorum queue."""
    exchange = Exchange(f"{name}-exchange", type="topic")
    return Queue(name, exchange, routing_key=name, queue_arguments={"x-queue-type": "quorum"})
