echo ${UNSET-d} ${#} $? ; false; echo $?; echo $0 | sed 's/.*/x/'
