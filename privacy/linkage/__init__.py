"""Finding the same person in two organisations, so that they are counted, and charged, once.

A pseudonym is a name raised to the secrets of all nodes together: PRF(x) = H(x)^(a1·a2·…·an).
Nobody can compute one alone, so nobody can test whether a name is on somebody's list. Lists go
round all nodes, each raises what it is given by its own secret; the coordinator sees finished
pseudonyms, which mean nothing to it, and tells every node which places of its own list are
counted elsewhere.

    spelling        one way of writing what a person is recognised by
    hash_to_curve   H: text to a point of Curve25519
    raising         ^a: one node's part of the exponent
    dummies         shared dummies that hide how many persons two organisations have in common
    session         what is signed: the session, adverts, lists on their way
    party           a node's part
    matching        the coordinator's part
    transcript      what is left of it, for auditors
"""
