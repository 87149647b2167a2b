-- What would be made anew, and why?
SELECT * FROM v_stale_artifacts;
