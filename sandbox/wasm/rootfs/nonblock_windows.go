package rootfs

const nonblock = 0
