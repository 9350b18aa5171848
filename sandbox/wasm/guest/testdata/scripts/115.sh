bash -c 'echo "$0 $1" ; exit 3' n a; echo $?; echo 'echo from stdin $1' | bash -s arg; sh -c 'set -e; false; echo x'; echo $?
