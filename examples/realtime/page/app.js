"use strict";

fetch("api/health")
  .then((answer) => answer.json())
  .then((health) => { document.getElementById("health").textContent = health.status; });
