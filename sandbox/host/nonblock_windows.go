package host

// openNonblock is not needed: named pipes are not files here.
const openNonblock = 0
