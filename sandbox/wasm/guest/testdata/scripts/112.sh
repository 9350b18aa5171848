timeout 5 echo ok; timeout 0.1 sleep 5; echo $?; time true 2>/dev/null; nice echo n
