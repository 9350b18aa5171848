while getopts "ab:c" o; do echo "$o ${OPTARG:-}"; done
