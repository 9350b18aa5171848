unset v; echo "${v:-a} ${v:=b} $v ${v:+c}"; x=v; echo "${!x}"
