package host

// fionread is _IOR('f', 127, int) of sys/filio.h.
const fionread = 0x4004667f
