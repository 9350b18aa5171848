eval 'x=5; echo $x'; c='echo dyn'; $c; readonly R=1; echo $R
