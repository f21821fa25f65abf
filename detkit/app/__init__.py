"""The web page of ``detkit serve``: its server, access control, and contents."""
