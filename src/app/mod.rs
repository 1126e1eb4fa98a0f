//! Assembly: state, router, listeners, life cycle, logs. Nothing here decides anything about images.
