//! An embeddable event loop and async runtime: phases, queues, timers, tasks.
