"""A client of the weather service, api.weather.gov."""
