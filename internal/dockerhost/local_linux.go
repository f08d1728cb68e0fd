package dockerhost

const localSockets = true
