# devices
head -c 4 /dev/zero | od -An -tx1
head -c 8 /dev/urandom | wc -c
echo gone > /dev/null
test -c /dev/zero && echo device
read -r -n 3 x < /dev/null || echo nothing
