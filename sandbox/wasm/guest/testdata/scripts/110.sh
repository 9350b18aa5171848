env -i A=1 env; A=2 env | grep ^A=; export B=3; printenv B; env -u B printenv B; echo $?; A=5 sh -c 'echo $A'
