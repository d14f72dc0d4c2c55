"""Integration of foreign updates in a process that may be killed at any moment.

The network process never builds a CRDT document: hostile bytes can crash, hang or bloat whoever integrates them.
`pool.IntegrationPool` is its handle; `python -m crdt_sync.runtime.worker` is the process behind it.

    values      what goes in and comes out: items, verdicts, results, digests
    pipe        the frames between the two processes, decoded as strictly as bytes from a stranger
    progress    sixteen shared bytes that say which update the worker is at, so that a death has a culprit
    confine     limits that the worker sets upon itself
    seccomp     a filter of its system calls, one of these
    ruling      the policy and the schemas: what a worker is told of them, and what it goes by
    service     the worker's side: frames in, the integrator, frames out
    budget      the processor time that a request may take, by the bytes that it goes through
    process     the parent's side of one worker: start, ask, look at its processor time, kill
    plan        which items go into the next request, and what a death means for them (pure)
    pool        one active worker, one warm spare, and the plan carried out
"""
